"""Tokens and prices. Amounts of money are integer nano-dollars.

estimate.py  the tokens that a request may take, estimated before it is sent
tokens.py    the tokens that an answer used: reported, else estimated
prices.py    what tokens cost
"""

"""What is told of requests, beside their answers.

observer.py    `Observer`: the one seam at which logs, metrics and spans hang
log.py         structured log records, and `JsonFormatter`
request_log.py the observer that writes the access log and the failures of requests
"""

"""What a request costs: ours beside a bare relay, the limit and peers (`python -m bench`)."""

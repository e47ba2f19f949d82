"""Servers, engines and monitors that rampmeter is at home in; each is imported only by itself."""

"""What the panels of all hosts share: forms drawn from schemas, a session that never blocks, history, first steps, reports. It is copied
into hosts, so it takes the standard library and Python 3.9 only; it draws nothing and knows no host.
"""

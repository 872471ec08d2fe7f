"""What the black-box tests stand on:

Real servers, the proxy as a process, raw sockets, faulty links.
"""

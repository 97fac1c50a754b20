"""The command-line client `berth`: standard library and the websockets library, nothing of Django, dashboard or engine.

It sends the words to the server's one door (`/ws/command`), shows what comes back, and opens terminals. It finds the
running Berth by the same variables (or `.env`) as the server and acts as the site administrator of the host's root.
"""

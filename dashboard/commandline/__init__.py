"""The one door for Docker's words: `/ws/command`. Parses with `dashboard.grammar`, acts through the apps' services,
streams typed frames back. The browser's command bar and `script/berth` are both clients of it.
"""

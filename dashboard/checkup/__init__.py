"""`system check`: whether rows and reality are as they must be, and mending what the reconciler can mend."""

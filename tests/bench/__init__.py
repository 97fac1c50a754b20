"""Figures, against Docker Engine measured in the same run. No pass or fail: `script/bench` prints ratios."""

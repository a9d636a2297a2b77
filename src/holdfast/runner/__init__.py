"""Looking at servers and changing them: converge, observe, and the folders of what happened."""

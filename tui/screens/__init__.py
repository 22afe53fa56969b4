"""One file a screen: asks acts in the background, paints the answers, names its keys."""

"""What the real provider would refuse, and in which words: `refused` asks the three of them."""

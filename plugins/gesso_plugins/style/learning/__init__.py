"""How the style network learns: scenes and paintings that are drawn here, its training and its measure."""

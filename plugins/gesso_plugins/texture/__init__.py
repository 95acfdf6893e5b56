"""The operation `texture`: a prompt to a seamless material, as a colour picture and its maps."""

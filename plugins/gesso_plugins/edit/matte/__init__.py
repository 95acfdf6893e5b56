"""What of a picture is foreground: a trimap from a rough mask, the matte in its unknown band, and the colours without their background."""

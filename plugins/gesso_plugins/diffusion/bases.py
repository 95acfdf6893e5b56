"""What adapters are made for, told by the width of the text states that a UNet listens to."""

BASES = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}

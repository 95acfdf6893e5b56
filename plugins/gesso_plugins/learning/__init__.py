"""Learning a style: LoRAs from pictures, on the command line and as a job."""

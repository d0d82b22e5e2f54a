"""How many images a band has."""

#: Atoms 0..4 of a band structure are the images of the migrating ion, initial to final.
IMAGES = 5

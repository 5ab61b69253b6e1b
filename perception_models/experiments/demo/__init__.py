"""Recipe of the shipped model: render, train, fine-tune on real images, change the backbone, export, evaluate."""

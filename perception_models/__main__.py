from perception_models.cli import app

app(prog_name="perception-models")

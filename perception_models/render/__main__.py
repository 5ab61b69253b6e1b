from perception_models.render.cli import app

app(prog_name="perception_models.render")

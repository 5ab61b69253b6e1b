from driving_scenes.cli import app

app(prog_name="driving_scenes")

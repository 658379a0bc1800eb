"""Office Open XML: what Word, PowerPoint, Excel and their like have written since 2007."""

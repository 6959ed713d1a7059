"""What a project needs to run on Kubernetes: an image, a chart, overlays; from templates."""

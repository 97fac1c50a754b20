"""What has happened to containers, images and volumes: rows written in the transaction of the change itself.

`services.record` is called by the apps above; `services.happened` is what `events` shows. The newest rows are kept.
"""

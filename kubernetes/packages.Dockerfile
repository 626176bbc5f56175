# The image of the Job that uploads: the service's image, and a folder of signed packages. Its packages are trusted by
# nobody, like those in the bucket: the service verifies them.
ARG SERVICE_IMAGE=diabetes-risk-model:0.1.0
FROM ${SERVICE_IMAGE}
COPY *.zip *.zip.dsse.json /packages/

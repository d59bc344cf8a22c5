# JupyterLab with the lessons of the course, and the lab:
#   docker build -t dipops .
#   docker run --rm -p 8888:8888 -v "$PWD/work:/home/student/work" dipops
# PyTorch's default build for Linux has CUDA and takes gigabytes. For a smaller image give pip an index that has the CPU build:
#   docker build --build-arg PIP_INDEX_URL=... -t dipops .
FROM python:3.11-slim

ARG PIP_INDEX_URL
COPY . /opt/dipops
RUN pip install --no-cache-dir "/opt/dipops[course,lab,compare,images]"

RUN useradd --create-home --uid 1000 student
USER student
WORKDIR /home/student
RUN dipops course export lessons && mkdir work

EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"]

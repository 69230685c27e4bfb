# Sourced from the project's root, after scripts/setup: puts the project's own Node first, when it has one.
if [ -x "$PWD/.node/bin/node" ]; then
  PATH=$PWD/.node/bin:$PATH
  export PATH
fi

#!/bin/sh
# Prints a small page.
echo "<!doctype html><title>Shipfox</title><h1>Hello from Shipfox</h1>"

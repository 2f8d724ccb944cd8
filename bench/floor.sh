#!/bin/sh
# A test that does nothing.

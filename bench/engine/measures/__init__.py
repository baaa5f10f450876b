"""The measures of the bench, one file each."""

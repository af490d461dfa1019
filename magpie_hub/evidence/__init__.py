"""Evidence on what a release is worth: compared with other sets, trained on, judged."""

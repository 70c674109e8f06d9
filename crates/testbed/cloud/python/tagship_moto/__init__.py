"""moto, the AWS emulator, made as strict as AWS where a release tool would notice."""

"""The judgement of a release: is the version that is tried out better than the one in service, no worse, or worse?"""

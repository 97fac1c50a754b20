"""The OCI distribution client: documents and blobs of one repository, from a registry that may be slow, broken or hostile.

The only user of the HTTP library. May import `engine.oci`, `engine.reference`, `engine.config`, `engine.digest` and
`engine.errors`. What it keeps on disk is nothing: callers store.

Source: OCI distribution-spec 1.1; distribution, docs/spec/auth/token.md.
"""

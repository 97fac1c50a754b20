"""From a request, an image and a policy to a running process: OCI spec, seccomp, users, conmon and runc.

Pure: `request`, `command`, `confinement`, `spec`, `seccomp`, `signals`, `messages`, and the parsing half of `passwd` and
`policy`. May import engine.oci and engine.kernel; knows nothing of layers, networks or rows.
"""

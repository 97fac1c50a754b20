"""From a layer's archive to a squashfs file: nothing of an image is ever unpacked onto the host.

    source (compressed bytes) ─▶ inflate ─▶ sha256 = diff ID ─▶ reader (strict tar) ─▶ tree ─▶ canonical tar ─▶ tar2sqfs

`write.write_layer` is the way in. `headers`, `pax`, `sparse`, `names`, `xattrs`, `tree` and `canonical` are pure.
May import engine.kernel, engine.config, engine.digest and engine.errors.

What decides when an archive says two things (threats.md 2.1; OCI image-spec 1.1, layer.md):

* Entries apply in order and the last of a name wins. What was below a directory that a file replaced is gone.
* A whiteout and an opaque marker speak about lower layers only, wherever they stand in the archive: an entry of this
  layer with the same name stays, and a directory of that name becomes opaque. So does a directory that took the place
  of a file.
* A path through a symbolic link of this layer is resolved inside the layer's root, as Docker's chroot does.
* Parents without an entry of their own are 0755 root:root, as Docker's overlay2 makes them, and are listed in the
  root's xattr `trusted.berth.implicit`, so that the mount can lend them the lower layer's owner and mode.
* What readers of tar disagree about is refused: `..`, a second extended header, sizes on links, trailing bytes.
"""

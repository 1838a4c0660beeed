//! Container layers become disks: tar layers to ext4 to VMDK and back.

package node

// modesKept tells whether the file system keeps Unix permissions.
const modesKept = false

// syncDir does nothing: Windows offers no way to sync a folder, and NTFS
// journals renames itself.
func syncDir(string) error { return nil }

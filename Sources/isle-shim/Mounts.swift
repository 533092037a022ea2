import CHost

/// The mounts of an instance, in a mount namespace of the shim's own: nothing of them shows on the host, and they are
/// gone with the last process that lives among them.
///
/// Device files of images and volumes are dead (nodev): a device that a hostile image brings would be the host's.
struct Mounts {
    let namespaces: Namespaces
    let identity: ShimSpec.Identity?
    let directory: String

    /// Leaves the host's mount namespace. Mounts that the host makes or removes later still show here.
    static func enterNamespace() throws(ShimFailure) {
        try check(isle_unshare(Int32(ISLE_NEWNS)), "making a mount namespace")
        try check(isle_propagation("/", 1), "separating the mounts from the host's")
    }

    func perform(_ mount: ShimMount) throws(ShimFailure) {
        switch mount {
        case .idmap(let source, let target):
            try makeFolder(target)
            try attach(source, target, recursive: false, attributes: ISLE_ATTR_NODEV, shifted: true)
        case .bind(let source, let target, let readOnly, let shifted):
            let attributes = (readOnly ? ISLE_ATTR_RDONLY : 0) | (shifted ? ISLE_ATTR_NODEV : 0)
            try attach(source, target, recursive: true, attributes: attributes, shifted: shifted)
        case .overlay(let lower, let upper, let work, let target, let volatile):
            try makeFolder(target)
            try overlay(lower, upper, work, target, volatile)
        case .emptyFile(let target):
            let empty = directory + "/empty"
            try check(writeFile(empty, [], create: true), "making the file " + empty)
            try check(isle_bind(empty, target), "hiding the file " + target)
            try check(isle_remount_readonly(target), "hiding the file " + target)
        case .tmpfs(let target, let options):
            try makeFolder(target)
            try check(isle_mount("tmpfs", target, 1, options), "mounting a tmpfs at " + target)
        case .bindFrom(let process, let source, let target):
            try makeFolder(target)
            try attach(source, of: process, target)
        case .deviceFolder(let target):
            try makeFolder(target)
            try check(isle_mount_devices(target, "mode=0711,size=64k"), "mounting a tmpfs at " + target)
        case .device(let target, let isBlock, let major, let minor, let mode, let uid, let gid):
            try check(isle_mknod(target, isBlock ? 1 : 0, major, minor, mode), "making the device file " + target)
            try check(isle_chown_path(target, uid, gid), "giving away the device file " + target)
        }
    }

    private func makeFolder(_ path: String) throws(ShimFailure) {
        try check(isle_mkdir(path), "making the folder " + path)
    }

    private func attach(_ source: String, _ target: String, recursive: Bool, attributes: Int, shifted: Bool)
        throws(ShimFailure)
    {
        let tree = try openTree(
            source, recursive: recursive, attributes: attributes, userNamespace: shifted ? namespaces.user : -1)
        defer { isle_close(tree) }
        try check(isle_attach_tree(tree, target), "mounting " + source + " at " + target)
    }

    /// Mounts belong to a namespace: the copy is made in the other's, where the kernel resolves `source` below the
    /// root of that process, and attached in ours.
    private func attach(_ source: String, of process: UInt32, _ target: String) throws(ShimFailure) {
        let path = "/proc/" + decimal(Int32(clamping: process)) + "/ns/mnt"
        let other = try check(isle_open_read(path), "opening the namespace " + path)
        defer { isle_close(other) }
        let own = try check(isle_open_read("/proc/self/ns/mnt"), "opening the own mount namespace")
        defer { isle_close(own) }
        try check(isle_setns(other, Int32(ISLE_NEWNS)), "entering the namespace " + path)
        let tree = isle_open_tree(source, 0)
        try check(isle_setns(own, Int32(ISLE_NEWNS)), "returning to the own mount namespace")
        try check(tree, "opening " + source + " of process " + decimal(Int32(clamping: process)))
        defer { isle_close(tree) }
        try check(isle_attach_tree(tree, target), "mounting " + source + " at " + target)
    }

    private func overlay(_ lower: [String], _ upper: String, _ work: String, _ target: String, _ volatile: Bool)
        throws(ShimFailure)
    {
        // Layers are named by descriptors: any number fits the one page of mount(2)'s data, no character of a path
        // needs quoting, and the paths of the host do not show in the instance's mount table.
        var descriptors: [Int32] = []
        defer { for descriptor in descriptors { isle_close(descriptor) } }
        func reference(_ path: String) throws(ShimFailure) -> String {
            let descriptor = try check(isle_open_path(path), "opening the folder " + path)
            descriptors.append(descriptor)
            return "/proc/self/fd/" + decimal(descriptor)
        }
        var options = "lowerdir="
        for (index, path) in lower.enumerated() {
            if index > 0 { options += ":" }
            options += try reference(path)
        }
        options += ",upperdir="
        options += try reference(upper)
        options += ",workdir="
        options += try reference(work)
        if volatile {
            options += ",volatile"
            // What the last volatile mount left makes the kernel refuse the next one.
            _ = isle_rmdir(work + "/work/incompat/volatile")
            _ = isle_rmdir(work + "/work/incompat")
        }
        guard options.utf8.count < 4096 else {
            throw ShimFailure(.invalid, "mounting overlay at " + target + ": too many layers")
        }
        // As the first id of the instance, whose folder `work` is; capabilities are kept all the same.
        if let identity {
            try check(isle_keep_capabilities(1), "keeping capabilities")
            isle_set_fs_ids(identity.user, identity.group)
        }
        let result = isle_mount("overlay", target, 0, options)
        if identity != nil {
            isle_set_fs_ids(0, 0)
            try check(isle_keep_capabilities(0), "keeping capabilities")
        }
        try check(result, "mounting overlay at " + target)
    }
}

/// A detached copy of the mounts at `source`. With `userNamespace` its owners are shifted.
func openTree(_ source: String, recursive: Bool, attributes: Int, userNamespace: Int32) throws(ShimFailure) -> Int32 {
    let tree = try check(isle_open_tree(source, recursive ? 1 : 0), "opening " + source)
    if attributes != 0 {
        let result = isle_tree_attributes(tree, UInt64(attributes), -1, recursive ? 1 : 0)
        if result < 0 {
            isle_close(tree)
            throw failure("setting mount flags of " + source, result)
        }
    }
    if userNamespace >= 0 {
        let result = isle_tree_attributes(tree, UInt64(ISLE_ATTR_IDMAP), userNamespace, recursive ? 1 : 0)
        if result < 0 {
            isle_close(tree)
            throw failure("mapping the owners of " + source, result)
        }
    }
    return tree
}

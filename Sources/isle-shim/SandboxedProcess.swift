import CHost

/// Puts up the walls of a `Sandbox` around the calling process, in the order that each step still may be done.
struct SandboxBuilder {
    let process: ShimProcess
    let sandbox: Sandbox
    let namespaces: Namespaces
    /// An existing folder for the new root.
    let root: String

    /// The namespaces that the process is cloned into; the instance's own user and network namespaces are joined.
    static let cloneFlags = UInt(ISLE_NEWNS) | UInt(ISLE_NEWPID) | UInt(ISLE_NEWIPC) | UInt(ISLE_NEWUTS)

    func enter() throws(ShimFailure) {
        // Read before the root changes.
        var filter: [UInt8] = []
        if !sandbox.seccompFile.isEmpty { filter = try readFilter() }
        try openDescriptors(process)
        try check(isle_propagation("/", 0), "separating the sandbox's mounts")
        if namespaces.network >= 0 {
            try check(isle_setns(namespaces.network, Int32(ISLE_NEWNET)), "entering the network namespace")
        }
        try check(isle_hostname(sandbox.hostname), "setting the hostname " + sandbox.hostname)
        try makeRoot()
        if namespaces.user >= 0 {
            try check(isle_setns(namespaces.user, Int32(ISLE_NEWUSER)), "entering the user namespace")
        }
        try check(isle_chdir(process.workingDirectory), "entering the folder " + process.workingDirectory)
        for limit in sandbox.limits {
            try check(isle_set_limit(limit.resource, limit.value), "setting resource limit " + decimal(limit.resource))
        }
        try check(isle_drop_bounding_set(), "dropping capabilities")
        try setIdentity(process)
        try check(isle_drop_capabilities(), "dropping capabilities")
        try check(isle_no_new_privileges(), "forbidding new privileges")
        try check(isle_die_with_parent(), "binding the process to the shim")
        if !filter.isEmpty {
            let count = UInt16(filter.count / 8)
            let result = filter.withUnsafeMutableBytes { isle_seccomp($0.baseAddress, count) }
            try check(result, "loading the seccomp filter " + sandbox.seccompFile)
        }
    }

    private func readFilter() throws(ShimFailure) -> [UInt8] {
        let descriptor = try check(isle_open_read(sandbox.seccompFile), "opening " + sandbox.seccompFile)
        defer { isle_close(descriptor) }
        // BPF_MAXINSNS is 4096 instructions.
        guard case .success(let bytes) = readAll(descriptor, limit: 4096 * 8), !bytes.isEmpty, bytes.count % 8 == 0
        else {
            throw ShimFailure(.invalid, sandbox.seccompFile + " is not a seccomp filter")
        }
        return bytes
    }

    private func makeRoot() throws(ShimFailure) {
        let options = "mode=0755,size=" + decimal(Int32(clamping: sandbox.rootKiB)) + "k"
        try check(isle_mount("tmpfs", root, 1, options), "mounting the sandbox's root")
        if !sandbox.devices.isEmpty { try makeDevices() }
        let folder = try check(isle_open_path(root), "opening the sandbox's root")
        for bind in sandbox.binds { try attach(bind, below: folder) }
        try check(isle_fchdir(folder), "entering the sandbox's root")
        isle_close(folder)
        try check(isle_pivot_here(), "changing the root")
        // Nothing of the process's own can be put beside the binds.
        try check(isle_remount_readonly("/"), "making the sandbox's root read-only")
        if !sandbox.devices.isEmpty {
            try check(isle_remount_devices_readonly("/dev"), "making the sandbox's /dev read-only")
        }
    }

    /// Device files do not work on the root itself.
    private func makeDevices() throws(ShimFailure) {
        guard namespaces.user < 0 else { throw ShimFailure(.invalid, "devices go with no user namespace") }
        try check(isle_mkdir(root + "/dev"), "making the sandbox's /dev")
        try check(isle_mount_devices(root + "/dev", "mode=0755,size=64k"), "mounting the sandbox's /dev")
        for device in sandbox.devices {
            let made = isle_device_like(device, root + device, process.uid, process.gid)
            try check(made, "making the sandbox's own " + device)
        }
    }

    private func attach(_ bind: Sandbox.Bind, below root: Int32) throws(ShimFailure) {
        var attributes = ISLE_ATTR_NOSUID | ISLE_ATTR_NODEV
        if bind.readOnly { attributes |= ISLE_ATTR_RDONLY }
        if !bind.executable { attributes |= ISLE_ATTR_NOEXEC }
        // Devices are the point of a bind from /dev.
        if bind.source.utf8.starts(with: "/dev/".utf8) { attributes &= ~ISLE_ATTR_NODEV }
        let tree = try openTree(
            bind.source, recursive: true, attributes: Int(attributes),
            userNamespace: bind.idMapped ? namespaces.user : -1)
        defer { isle_close(tree) }
        let isFolder = isle_is_folder(tree) == 1
        let target = try makeTarget(bind.target, below: root, isFolder: isFolder)
        defer { isle_close(target) }
        try check(isle_attach_tree_to(tree, target), "mounting " + bind.source + " at " + bind.target)
    }

    /// The file or folder `path` below `root`, made if missing. No symbolic link is followed: an earlier bind may show
    /// a folder whose content somebody else chooses.
    private func makeTarget(_ path: String, below root: Int32, isFolder: Bool) throws(ShimFailure) -> Int32 {
        let doing = "making the mount point " + path
        var names: [String] = []
        for part in path.utf8.split(separator: 0x2F) {
            let isDots = part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8)
            if isDots { throw ShimFailure(.invalid, doing + ": it has a dot for a name") }
            names.append(String(decoding: part, as: UTF8.self))
        }
        guard !names.isEmpty else { throw ShimFailure(.invalid, doing + ": it is the root") }
        var current = try check(isle_duplicate(root, 3), doing)
        for (index, name) in names.enumerated() {
            let folder = current
            defer { isle_close(folder) }
            let wantsFolder = isFolder || index < names.count - 1
            var next = isle_open_below(folder, name, wantsFolder ? 1 : 0)
            if next == -ENOENT {
                let made = wantsFolder ? isle_mkdir_at(folder, name) : isle_touch_at(folder, name)
                try check(made, doing)
                next = isle_open_below(folder, name, wantsFolder ? 1 : 0)
            }
            current = try check(next, doing)
        }
        return current
    }
}

/// Opens what the process inherits; before its rights are dropped and the host's files are out of sight.
func openDescriptors(_ process: ShimProcess) throws(ShimFailure) {
    for descriptor in process.descriptors {
        switch descriptor.kind {
        case .tap: try check(isle_tap_as(descriptor.name, descriptor.number), "opening interface " + descriptor.name)
        case .readable, .writable:
            let isWritable: Int32 = descriptor.kind == .writable ? 1 : 0
            try check(isle_open_as(descriptor.name, isWritable, descriptor.number), "opening " + descriptor.name)
        }
    }
}

/// Takes on the process's user, group and further groups.
func setIdentity(_ process: ShimProcess) throws(ShimFailure) {
    let result = process.groups.withUnsafeBufferPointer {
        isle_set_ids(process.uid, process.gid, $0.baseAddress, $0.count)
    }
    try check(result, "becoming user " + decimal(Int32(clamping: process.uid)))
}

import CHost

/// Descriptors of the namespaces that belong to the instance; -1 where it uses the host's.
struct Namespaces {
    var user: Int32 = -1
    var network: Int32 = -1
    /// Others that the instance lives in, by name.
    private var others: [(name: String, descriptor: Int32)] = []

    /// Makes them by a child that is cloned into them, maps the ids from outside, keeps the namespaces open, and lets
    /// the child end. This order makes the network namespace belong to the user namespace.
    init(identity: ShimSpec.Identity?, network: Bool, joins: [ShimSpec.Join]) throws(ShimFailure) {
        for join in joins {
            let descriptor = try check(isle_open_read(join.path), "opening the namespace " + join.path)
            if join.name.utf8.elementsEqual("user".utf8) {
                user = descriptor
            } else if join.name.utf8.elementsEqual("net".utf8) {
                self.network = descriptor
            } else {
                others.append((join.name, descriptor))
            }
        }
        let newNetwork = network && self.network < 0
        let identity = user < 0 ? identity : nil
        var flags: UInt = 0
        if identity != nil { flags |= UInt(ISLE_NEWUSER) }
        // In a user namespace of another instance the child makes the network namespace once it is there.
        if newNetwork, user < 0 { flags |= UInt(ISLE_NEWNET) }
        guard identity != nil || newNetwork else { return }

        let release = try Pipe()
        let report = try Pipe()
        let pid = isle_fork(flags)
        if pid == 0 { Self.hold(release, report, newNetwork, joined: user) }
        isle_close(release.read)
        isle_close(report.write)
        defer {
            // The child ends when it sees the end of file.
            isle_close(release.write)
            isle_close(report.read)
        }
        try check(pid, "making the user and network namespaces")
        let process = "/proc/" + decimal(pid)
        if newNetwork {
            var result: Int8 = 1
            guard isle_read(report.read, &result, 1) == 1, result == 0 else {
                throw failure("bringing up the loopback interface", result > 0 ? -EIO : Int32(result))
            }
        }
        if let identity {
            try check(writeFile(process + "/uid_map", Array(identity.users.utf8)), "mapping user ids")
            try check(writeFile(process + "/gid_map", Array(identity.groups.utf8)), "mapping group ids")
            user = try check(isle_open_read(process + "/ns/user"), "opening the user namespace")
        }
        if newNetwork {
            self.network = try check(isle_open_read(process + "/ns/net"), "opening the network namespace")
        }
    }

    /// Shows the namespaces as `ns/user` and `ns/net` in the run directory, where a runtime's configuration names
    /// them. The files themselves stay empty: the mounts are the shim's own.
    func show(in directory: String) throws(ShimFailure) {
        let folder = directory + "/ns"
        try check(isle_mkdir(folder), "making the folder " + folder)
        for (name, descriptor) in [("user", user), ("net", network)] + others where descriptor >= 0 {
            let path = folder + "/" + name
            try check(writeFile(path, [], create: true), "making the file " + path)
            try check(isle_bind("/proc/self/fd/" + decimal(descriptor), path), "mounting a namespace at " + path)
        }
    }

    private static func hold(_ release: Pipe, _ report: Pipe, _ newNetwork: Bool, joined: Int32) -> Never {
        isle_close(release.write)
        if newNetwork {
            var entered: Int32 = 0
            if joined >= 0 {
                entered = isle_setns(joined, Int32(ISLE_NEWUSER))
                if entered == 0 { entered = isle_unshare(Int32(ISLE_NEWNET)) }
            }
            var result = Int8(truncatingIfNeeded: entered < 0 ? entered : isle_loopback_up())
            _ = isle_write(report.write, &result, 1)
        }
        var byte: UInt8 = 0
        _ = isle_read(release.read, &byte, 1)
        leave(0)
    }
}

/// Ends a child process.
func leave(_ code: Int32) -> Never {
    while true { isle_exit(code) }
}

import CHost

/// From the initial file system to the machine's own root, then on to what `isle.conf` says.
struct Boot {
    private static let newRoot = "/sysroot"
    private static let serialRoot = "isle-root"
    private static let serialReport = "isle-report"
    private static let serialModules = "isle-modules"

    func run() -> Never {
        _ = guest_mount("devtmpfs", "/dev", "devtmpfs", guest_ms_device(), nil)
        _ = guest_mount("proc", "/proc", "proc", guest_ms_default(), nil)
        _ = guest_mount("sysfs", "/sys", "sysfs", guest_ms_default(), nil)
        loadModules("/modules")
        let config = GuestConfig(decoding: readFile("/isle.conf") ?? [])
        guard let disk = waitForDisk(Boot.serialRoot) else {
            fail("no disk with the serial number '" + Boot.serialRoot + "' appeared within 10 seconds")
        }
        let options = config.readOnlyRoot ? guest_ms_readonly() : 0
        let result = guest_mount("/dev/" + disk, Boot.newRoot, "ext4", options, nil)
        guard result == 0 else { fail("the root disk " + disk + " cannot be mounted: " + reason(result)) }
        loadLateModules(isNetworkNeeded: !config.interfaces.isEmpty)
        if !config.shares.isEmpty { loadModules("/modules.share") }
        let report = findDisk(Boot.serialReport)
        let modules = findDisk(Boot.serialModules)
        let port = openPort("org.isle.agent.0")
        enterRoot(config)
        prepareRoot(config)
        if let modules { showModules(modules) }
        configureNetwork(config)
        switch config.boot {
        case .application: runApplication(config, port: port, report: report)
        case .system(let path): runSystem(config, path: path, port: port)
        }
    }

    /// The rest is loaded beside the start of the first program, unless that needs the network.
    private func loadLateModules(isNetworkNeeded: Bool) {
        let list = "/modules.late"
        if isNetworkNeeded { return loadModules(list) }
        if guest_fork() == 0 {
            // The agent's start comes first: on one processor everything else delays the first exec.
            guest_sleep(200)
            loadModules(list)
            guest_exit(0)
        }
    }

    /// Loads what a list names, in its order: a module comes after those it needs.
    private func loadModules(_ list: String) {
        for name in splitLines(readFile(list) ?? []) {
            let path = "/lib/" + name
            let descriptor = guest_open(path, guest_o_rdonly(), 0)
            guard descriptor >= 0 else { continue }
            let result = guest_load_module(descriptor)
            _ = guest_close(descriptor)
            if result < 0 && guest_is_exists(Int(result)) == 0 {
                say("isle-init: kernel module " + name + ": " + reason(result))
            }
            _ = guest_unlink(path)
        }
    }

    private func waitForDisk(_ serial: String) -> String? {
        let end = guest_milliseconds() + 10_000
        while guest_milliseconds() < end {
            if let disk = findDisk(serial), guest_exists("/dev/" + disk) != 0 { return disk }
            guest_sleep(5)
        }
        return nil
    }

    private func findDisk(_ serial: String) -> String? {
        for name in listFolder("/sys/block") where readLine("/sys/block/" + name + "/serial") == serial { return name }
        return nil
    }

    private func openPort(_ wanted: String) -> Int32 {
        for name in listFolder("/sys/class/virtio-ports")
        where readLine("/sys/class/virtio-ports/" + name + "/name") == wanted {
            return guest_open("/dev/" + name, guest_o_rdwr_nonblocking(), 0)
        }
        return -1
    }

    private func enterRoot(_ config: GuestConfig) {
        for folder in ["dev", "proc", "sys"] {
            let target = Boot.newRoot + "/" + folder
            _ = guest_mkdir(target, 0o755)
            let result = guest_mount("/" + folder, target, nil, guest_ms_move(), nil)
            if result < 0 { fail("/" + folder + " cannot be moved to the root disk: " + reason(result)) }
        }
        for leftover in ["/modules", "/isle.conf", "/init"] { _ = guest_unlink(leftover) }
        guard guest_chdir(Boot.newRoot) == 0, guest_mount(".", "/", nil, guest_ms_move(), nil) == 0,
            guest_chroot(".") == 0, guest_chdir("/") == 0
        else { fail("the root disk cannot become the root") }
    }

    private func prepareRoot(_ config: GuestConfig) {
        for folder in ["/run", "/tmp"] { _ = guest_mkdir(folder, folder == "/tmp" ? 0o1777 : 0o755) }
        _ = guest_mkdir("/dev/pts", 0o755)
        _ = guest_mount("devpts", "/dev/pts", "devpts", guest_ms_device(), "mode=620,gid=5,ptmxmode=666")
        _ = guest_mkdir("/dev/shm", 0o1777)
        _ = guest_mount("tmpfs", "/dev/shm", "tmpfs", guest_ms_tmp(), "mode=1777")
        _ = guest_mount("tmpfs", "/run", "tmpfs", guest_ms_tmp(), "mode=755,size=20%")
        for (target, path) in [
            ("/proc/self/fd", "/dev/fd"), ("/proc/self/fd/0", "/dev/stdin"), ("/proc/self/fd/1", "/dev/stdout"),
            ("/proc/self/fd/2", "/dev/stderr"),
        ] { _ = guest_symlink(target, path) }
        if !config.hostname.utf8.isEmpty {
            _ = guest_sethostname(config.hostname, config.hostname.utf8.count)
            if !config.readOnlyRoot { writeFile("/etc/hostname", [UInt8]((config.hostname + "\n").utf8)) }
        }
        for share in config.shares {
            _ = makeFolders(share.target)
            let options = share.readOnly ? guest_ms_readonly() : 0
            let result = guest_mount(share.tag, share.target, "virtiofs", options, nil)
            if result < 0 { say("isle-init: " + share.target + " cannot be mounted: " + reason(result)) }
        }
    }

    /// Mounts the kernel's modules where modprobe looks for them; in a guest without it they would only make its
    /// services fail that use it.
    private func showModules(_ disk: String) {
        var isUseful = false
        for program in ["/sbin/modprobe", "/usr/sbin/modprobe", "/bin/kmod", "/usr/bin/kmod"]
        where guest_executable(program) == 0 { isUseful = true }
        guard isUseful else { return }
        let target = "/lib/modules/" + readLine("/proc/sys/kernel/osrelease")
        guard makeFolders(target) else { return }
        let result = guest_mount("/dev/" + disk, target, "ext4", guest_ms_readonly(), nil)
        if result < 0 { say("isle-init: " + target + ": " + reason(result)) }
    }

    private func makeFolders(_ path: String) -> Bool {
        var current = ""
        for part in splitFields(path, "/") where !part.utf8.isEmpty {
            current += "/" + part
            _ = guest_mkdir(current, 0o755)
        }
        return guest_exists(path) != 0
    }
}

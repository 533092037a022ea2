import CHost

/// Passes connections on from a socket that it listens on to another one, one of the two inside a running instance:
///
///     isle-shim forward FOLDER NAME PID LISTEN-SIDE LISTEN CONNECT-SIDE CONNECT MODE OWNER GROUP USER PRIMARY HEADER
///
/// A side is `host` or `instance`; addresses are `tcp:ADDRESS:PORT`, `udp:ADDRESS:PORT` and `unix:PATH`, where `unix:@NAME`
/// is abstract. MODE, OWNER and GROUP are those of a unix socket that it makes, ids of the host. USER and PRIMARY are the
/// ids it goes on with once both ends are found. HEADER is 1 for a line of the PROXY protocol in front of each connection.
///
/// It goes into the background, writes `forward-NAME.pid` into FOLDER, and ends with the instance whose first process is PID.
/// Standard output takes `ok`, or what went wrong.
struct Forwarder {
    let folder: String
    let name: String
    let pid: Int32
    let listenInside: Bool
    let listen: ForwardAddress
    let connectInside: Bool
    let connect: ForwardAddress
    let mode: UInt32
    let owner: UInt32
    let group: UInt32
    let user: UInt32
    let primary: UInt32
    let hasHeader: Bool

    static func main(_ arguments: [String]) -> Never {
        guard let forwarder = Forwarder(arguments) else { end("the arguments are damaged") }
        do throws(ShimFailure) {
            let child = try check(isle_fork(0), "making a process")
            if child > 0 { leave(0) }
            try check(isle_setsid(), "making a session")
            try forwarder.run()
            leave(0)
        } catch {
            end(error.text)
        }
    }

    private static func end(_ text: String) -> Never {
        _ = writeAll(1, Array(text.utf8) + [0x0A])
        leave(1)
    }

    private init?(_ words: [String]) {
        // The list ends with the empty word behind the last NUL.
        guard words.count >= 15, let pid = parseDecimal(Array(words[4].utf8)[...]), pid > 1,
            let listen = ForwardAddress(words[6]), let connect = ForwardAddress(words[8])
        else { return nil }
        var numbers: [UInt32] = []
        for word in words[9..<15] {
            guard let number = parseDecimal(Array(word.utf8)[...]), let id = UInt32(exactly: number) else { return nil }
            numbers.append(id)
        }
        folder = words[2]
        name = words[3]
        self.pid = Int32(truncatingIfNeeded: pid)
        listenInside = words[5].utf8.elementsEqual("instance".utf8)
        self.listen = listen
        connectInside = words[7].utf8.elementsEqual("instance".utf8)
        self.connect = connect
        (mode, owner, group) = (numbers[0], numbers[1], numbers[2])
        (user, primary, hasHeader) = (numbers[3], numbers[4], numbers[5] == 1)
    }

    private func run() throws(ShimFailure) {
        let process = try check(isle_pidfd_open(pid), "opening the instance's first process")
        let home = try Place(process: "self")
        let inside = try Place(process: decimal(pid))
        if listenInside { try inside.enter() }
        let listener = try makeListener()
        if listenInside != connectInside { try (connectInside ? inside : home).enter() }
        // The file's place is the host, from where it is written before rights are given up.
        let record = folder + "/forward-" + name + ".pid"
        if connectInside || listenInside { try home.writeThere(record) } else { recordProcess(isle_pid(), in: record) }
        if connectInside != listenInside || connectInside { try (connectInside ? inside : home).enter() }
        if user != 0 || primary != 0 {
            try check(isle_set_ids(user, primary, nil, 0), "giving up the rights of root")
        }
        let null = try check(isle_open_null(), "opening /dev/null")
        _ = writeAll(1, Array("ok\n".utf8))
        for stream in [Int32(0), 1, 2] { try check(isle_set_stream(null, stream), "setting a standard stream") }
        isle_close(null)
        if listen.isDatagram {
            DatagramForward(listener: listener, process: process, target: connect).run()
        } else {
            StreamForward(listener: listener, process: process, target: connect, hasHeader: hasHeader).run()
        }
    }

    /// A socket that an ended process has left: nobody takes connections there.
    private func isStale(_ path: String) -> Bool {
        guard path.utf8.first != 0x40 else { return false }
        let attempt = listen.open()
        if attempt >= 0 { isle_close(attempt) }
        return attempt == -ECONNREFUSED
    }

    private func makeListener() throws(ShimFailure) -> Int32 {
        var address = try listen.resolved()
        let socket = try check(isle_forward_socket(&address, listen.isDatagram ? 1 : 0), "making a socket")
        // The mode comes with the name: a later change of it could be led to another file.
        _ = isle_umask(Int32(truncatingIfNeeded: 0o777 & ~mode))
        var bound = isle_forward_bind(socket, &address)
        if bound == -EADDRINUSE, case .unix(let path) = listen.kind, isStale(path) {
            _ = isle_unlink(path)
            bound = isle_forward_bind(socket, &address)
        }
        try check(bound, "listening on " + listen.text)
        _ = isle_umask(0o022)
        if case .unix(let path) = listen.kind, path.utf8.first != 0x40 {
            try check(isle_socket_owner(path, owner, group), "setting the owner of " + path)
        }
        if !listen.isDatagram { try check(isle_forward_listen(socket), "listening on " + listen.text) }
        return socket
    }
}

/// Where sockets are made and paths are looked up: the network and the mounts of a process.
private struct Place {
    let network: Int32
    let mounts: Int32

    init(process: String) throws(ShimFailure) {
        let folder = "/proc/" + process + "/ns/"
        network = try check(isle_open_read(folder + "net"), "opening " + folder + "net")
        mounts = try check(isle_open_read(folder + "mnt"), "opening " + folder + "mnt")
    }

    func enter() throws(ShimFailure) {
        try check(isle_join_namespace(network, Int32(ISLE_NEWNET)), "entering a network namespace")
        try check(isle_join_namespace(mounts, Int32(ISLE_NEWNS)), "entering a mount namespace")
    }

    /// Enters, and records this process in a file there.
    func writeThere(_ path: String) throws(ShimFailure) {
        try enter()
        recordProcess(isle_pid(), in: path)
    }
}

/// One end of a forward.
struct ForwardAddress {
    enum Kind {
        case internet(address: String, port: Int32)
        case unix(path: String)
    }

    let text: String
    let kind: Kind
    let isDatagram: Bool

    init?(_ text: String) {
        self.text = text
        let bytes = Array(text.utf8)
        guard let first = bytes.firstIndex(of: 0x3A), let last = bytes.lastIndex(of: 0x3A) else { return nil }
        let type = String(decoding: bytes[..<first], as: UTF8.self)
        isDatagram = type.utf8.elementsEqual("udp".utf8)
        if type.utf8.elementsEqual("unix".utf8) {
            kind = .unix(path: String(decoding: bytes[(first + 1)...], as: UTF8.self))
            return
        }
        guard first < last, let port = parseDecimal(bytes[(last + 1)...]), port > 0, port < 65536 else { return nil }
        var address = bytes[(first + 1)..<last]
        if address.first == 0x5B { address = address.dropFirst().dropLast() }
        kind = .internet(address: String(decoding: address, as: UTF8.self), port: Int32(truncatingIfNeeded: port))
    }

    func resolved() throws(ShimFailure) -> isle_address {
        var address = isle_address()
        switch kind {
        case .internet(let text, let port):
            try check(isle_address_parse(&address, text, port), "reading the address " + text)
        case .unix(let path): try check(isle_address_unix(&address, path), "reading the path " + path)
        }
        return address
    }

    /// A new connection; a negative error number when there is none to be had.
    func open() -> Int32 {
        guard var address = try? resolved() else { return -EINVAL }
        let socket = isle_forward_socket(&address, isDatagram ? 1 : 0)
        guard socket >= 0 else { return socket }
        let result = isle_forward_connect(socket, &address)
        guard result == 0 else {
            isle_close(socket)
            return result
        }
        return socket
    }
}

import CHost

/// A socket on which a runtime hands over the master of the terminal it made (OCI `--console-socket`).
final class Console {
    /// The path that the runtime is told: short, whatever the run directory's is, since runtimes copy it into the
    /// 108 bytes of a socket address.
    let path: String
    private let file: String
    private let loop: Loop
    private let size: (columns: UInt16, rows: UInt16)
    private var listener: Int32
    private var connection: Int32 = -1
    private var master: Int32 = -1
    private var watcher: Watcher?

    /// The terminal gets `size` as soon as it is there, which is before the program in it runs.
    init(
        _ number: Int32, in directory: Int32, path directoryPath: String, size: (columns: UInt16, rows: UInt16),
        _ loop: Loop
    ) throws(ShimFailure) {
        let name = "console." + decimal(number)
        self.loop = loop
        self.size = size
        file = directoryPath + "/" + name
        path = "/proc/" + decimal(isle_pid()) + "/fd/" + decimal(directory) + "/" + name
        // 1 is SOCK_STREAM, which the OCI runtimes use.
        listener = try check(isle_unix_listen(directory, name, 1), "making the socket " + file)
        watcher = loop.add(listener, Int(ISLE_EPOLLIN)) { [self] _ in accept() }
    }

    /// Gives out the master that was handed over, -1 if there is none, and closes the socket. To be called when the
    /// runtime has ended.
    func finish() -> Int32 {
        if connection < 0 { accept() }
        if connection >= 0 { receive() }
        loop.remove(watcher)
        watcher = nil
        closeIfOpen(&connection)
        closeIfOpen(&listener)
        _ = isle_unlink(file)
        let result = master
        master = -1
        return result
    }

    private func accept() {
        guard listener >= 0, connection < 0 else { return }
        connection = isle_accept(listener)
        guard connection >= 0 else { return }
        loop.remove(watcher)
        watcher = loop.add(connection, Int(ISLE_EPOLLIN)) { [self] _ in receive() }
    }

    private func receive() {
        let capacity = 4096
        var buffer = [UInt8](repeating: 0, count: capacity)
        var descriptors = [Int32](repeating: -1, count: Int(ISLE_MAX_FDS))
        var count: Int32 = 0
        let result = isle_receive(connection, &buffer, capacity, &descriptors, &count)
        for index in 0..<Int(count) {
            if master < 0 {
                master = descriptors[index]
                if size.columns > 0 { _ = isle_terminal_size(master, size.columns, size.rows) }
            } else {
                isle_close(descriptors[index])
            }
        }
        if result != -Int(EAGAIN), result <= 0 || master >= 0 {
            loop.remove(watcher)
            watcher = nil
        }
    }
}

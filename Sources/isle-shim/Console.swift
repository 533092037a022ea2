import CHost

/// A socket on which a runtime hands over the master of the terminal it made (OCI `--console-socket`).
final class Console {
    private static let name = "console."

    /// The path that the runtime is told: short, whatever the run directory's is, since runtimes copy it into the
    /// 108 bytes of a socket address.
    let path: String
    private let listener: Int32
    private let file: String
    private let directory: Int32

    init(_ number: Int32, in directory: Int32, path directoryPath: String) throws(ShimFailure) {
        let name = Self.name + decimal(number)
        self.directory = directory
        file = directoryPath + "/" + name
        path = "/proc/" + decimal(isle_pid()) + "/fd/" + decimal(directory) + "/" + name
        // 1 is SOCK_STREAM, which the OCI runtimes use.
        listener = try check(isle_unix_listen(directory, name, 1), "making the socket " + file)
    }

    deinit {
        isle_close(listener)
        _ = isle_unlink(file)
    }

    /// The master that was handed over, to be called when the runtime has ended: -1 if there is none.
    func master() -> Int32 {
        let connection = isle_accept(listener)
        guard connection >= 0 else { return -1 }
        defer { isle_close(connection) }
        let size = 4096
        var buffer = [UInt8](repeating: 0, count: size)
        var descriptors = [Int32](repeating: -1, count: Int(ISLE_MAX_FDS))
        var count: Int32 = 0
        guard isle_receive(connection, &buffer, size, &descriptors, &count) > 0, count > 0 else { return -1 }
        for extra in descriptors[1..<Int(count)] { isle_close(extra) }
        return descriptors[0]
    }
}

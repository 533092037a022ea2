import CHost

/// Outcome of starting a process.
public enum SpawnResult: Sendable, Hashable {
    case started(pid: Int32)
    case failed(ExecFailure, String)
}

/// The descriptors that a process gets; below 0 is /dev/null.
public struct Descriptors: Sendable {
    public var input: Int32
    public var output: Int32
    public var error: Int32
    public init(input: Int32, output: Int32, error: Int32) {
        self.input = input
        self.output = output
        self.error = error
    }
}

private let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/// Starts what `request` says as a session leader, the user and the program looked up in this root filesystem.
public func spawn(_ request: ExecRequest, _ descriptors: Descriptors) -> SpawnResult {
    guard let name = request.arguments.first, !name.utf8.isEmpty else { return .failed(.malformed, "no program given") }
    let passwd = readFile("/etc/passwd") ?? []
    let group = readFile("/etc/group") ?? []
    guard let identity = resolveUser(request.user, passwd: passwd, group: group) else {
        return .failed(.notFound, "user '" + request.user + "' does not exist in the machine")
    }
    var environment = request.environment
    if value("PATH", environment) == nil { environment.append("PATH=" + defaultPath) }
    if value("HOME", environment) == nil {
        environment.append("HOME=" + (identity.home.utf8.isEmpty ? "/" : identity.home))
    }
    if request.terminal && value("TERM", environment) == nil { environment.append("TERM=xterm") }
    let directory = request.directory.utf8.isEmpty ? "/" : request.directory
    let (path, failure) = findProgram(name, path: value("PATH", environment) ?? defaultPath, directory: directory)
    guard let path else { return failure }

    let arguments = CStrings(request.arguments)
    let variables = CStrings(environment)
    defer {
        arguments.free()
        variables.free()
    }
    var stage: Int32 = 0
    let groups = identity.groups
    let result = path.withCString { path in
        directory.withCString { directory in
            groups.withUnsafeBufferPointer { groups in
                var process = guest_process()
                process.path = path
                process.arguments = UnsafePointer(arguments.pointer)
                process.environment = UnsafePointer(variables.pointer)
                process.directory = directory
                process.uid = identity.uid
                process.gid = identity.gid
                process.groups = groups.baseAddress
                process.groupCount = groups.count
                process.input = descriptors.input
                process.output = descriptors.output
                process.error = descriptors.error
                process.terminal = request.terminal ? 1 : 0
                return guest_spawn(&process, &stage)
            }
        }
    }
    if result > 0 { return .started(pid: result) }
    switch stage {
    case 1: return .failed(.cannotExecute, "cannot become user '" + request.user + "': " + reason(result))
    case 2: return .failed(.notFound, "working folder '" + directory + "': " + reason(result))
    default: return .failed(.cannotExecute, "'" + name + "' cannot be executed: " + reason(result))
    }
}

private func findProgram(_ name: String, path: String, directory: String) -> (String?, SpawnResult) {
    var worst = SpawnResult.failed(.notFound, "program '" + name + "' is not in the machine's PATH " + path)
    if name.utf8.contains(UInt8(ascii: "/")) {
        let full = name.utf8.first == UInt8(ascii: "/") ? name : directory + "/" + name
        let result = guest_executable(full)
        if result == 0 { return (full, worst) }
        let kind: ExecFailure = result == -2 || result == -20 ? .notFound : .cannotExecute
        return (nil, .failed(kind, "program '" + name + "': " + reason(result)))
    }
    for folder in splitFields(path, ":") where !folder.utf8.isEmpty {
        let full = folder + "/" + name
        let result = guest_executable(full)
        if result == 0 { return (full, worst) }
        if result == -13 { worst = .failed(.cannotExecute, "program '" + full + "': " + reason(result)) }
    }
    return (nil, worst)
}

private func value(_ name: String, _ environment: [String]) -> String? {
    let prefix = [UInt8]((name + "=").utf8)
    for entry in environment.reversed() {
        let bytes = [UInt8](entry.utf8)
        if bytes.starts(with: prefix) { return String(decoding: bytes[prefix.count...], as: UTF8.self) }
    }
    return nil
}

/// Words for a negated error number, as strerror(3) would say them for the usual ones.
public func reason(_ result: Int32) -> String {
    switch -result {
    case 1: "operation not permitted"
    case 2: "no such file or directory"
    case 7: "argument list too long"
    case 8: "exec format error"
    case 11: "resource temporarily unavailable"
    case 12: "cannot allocate memory"
    case 13: "permission denied"
    case 16: "device or resource busy"
    case 20: "not a directory"
    case 21: "is a directory"
    case 22: "invalid argument"
    case 26: "text file busy"
    case 28: "no space left on device"
    case 30: "read-only file system"
    default: "error " + decimal(UInt32(truncatingIfNeeded: -result))
    }
}

/// A NULL-terminated array of C strings; freed by its owner.
public struct CStrings {
    public let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    public init(_ texts: [String]) {
        count = texts.count
        pointer = .allocate(capacity: count + 1)
        for (index, text) in texts.enumerated() {
            let bytes = [UInt8](text.utf8)
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
            for (offset, byte) in bytes.enumerated() { copy[offset] = CChar(bitPattern: byte) }
            copy[bytes.count] = 0
            pointer[index] = copy
        }
        pointer[count] = nil
    }

    public func free() {
        for index in 0..<count { pointer[index]?.deallocate() }
        pointer.deallocate()
    }
}

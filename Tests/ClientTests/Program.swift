import Glibc
import Synchronization

/// The program itself, against a daemon that says what a test wants.
struct Program {
    struct Result {
        var status: Int32
        var output: String
        var error: String
    }

    /// `isle` beside the test bundle.
    static let path: String? = {
        var candidates = CommandLine.arguments.filter { $0.contains(".xctest") }
        if let link = realpath("/proc/self/exe", nil) {
            candidates.append(String(cString: link))
            free(link)
        }
        for candidate in candidates {
            let bundle = candidate.split(separator: "=").last ?? ""
            let folder = bundle.split(separator: "/").prefix { !$0.contains(".xctest") }.joined(separator: "/")
            let program = "/" + folder + "/isle"
            if access(program, X_OK) == 0 { return program }
        }
        return nil
    }()

    /// Runs it to its end, at most 20 seconds.
    static func run(_ arguments: [String], socket: String, input: String? = nil) throws -> Result {
        guard let path else { throw FakeDaemon.Failed("no isle") }
        let (output, error, local) = (ends(), ends(), ends())
        if let input { _ = Array(input.utf8).withUnsafeBytes { write(local[1], $0.baseAddress, $0.count) } }
        close(local[1])
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, local[0], 0)
        posix_spawn_file_actions_adddup2(&actions, output[1], 1)
        posix_spawn_file_actions_adddup2(&actions, error[1], 2)
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        words.append(nil)
        let settings = ["ISLE_SOCKET=\(socket)", "PATH=/usr/bin:/bin", "HOME=/root"]
        var environment: [UnsafeMutablePointer<CChar>?] = settings.map { strdup($0) }
        environment.append(nil)
        var pid: pid_t = 0
        let result = posix_spawn(&pid, path, &actions, nil, words, environment)
        posix_spawn_file_actions_destroy(&actions)
        for word in words + environment { free(word) }
        for descriptor in [local[0], output[1], error[1]] { close(descriptor) }
        guard result == 0 else { throw FakeDaemon.Failed("spawn: errno \(result)") }
        let collectors = (Collector(output[0]), Collector(error[0]))
        let child = pid
        let ended = Mutex(false)
        Threads.run {
            for _ in 0..<12_000 where !ended.withLock({ $0 }) { usleep(10_000) }
            if !ended.withLock({ $0 }) { kill(child, SIGKILL) }
        }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        ended.withLock { $0 = true }
        return Result(
            status: status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F),
            output: String(decoding: collectors.0.all(), as: UTF8.self),
            error: String(decoding: collectors.1.all(), as: UTF8.self))
    }

    private static func ends() -> [Int32] {
        var ends: [Int32] = [0, 0]
        pipe(&ends)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return ends
    }
}

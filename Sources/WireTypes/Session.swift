extension API {
    /// `POST /1.0/instances/{name}/exec`.
    public struct InstanceExecPost: Codable, Sendable, Hashable {
        @Zero public var command: [String] = []
        /// Wait for the client to connect websockets to the streams.
        @Zero public var waitForWebsocket = false
        /// One pseudo-terminal instead of three streams.
        @Zero public var interactive = false
        @Zero public var environment: [String: String] = [:]
        /// Columns and rows of the terminal; 0 is not said.
        @Zero public var width = 0
        @Zero public var height = 0
        /// Keep the output in log files, without websockets only.
        @Zero public var recordOutput = false
        @Zero public var user = 0
        @Zero public var group = 0
        @Zero public var cwd = ""
        /// Isle's: `user[:group]` by name or number, looked up inside the instance; counts before `user` and `group`.
        public var userName: String?

        enum CodingKeys: String, CodingKey {
            case command, interactive, environment, width, height, user, group, cwd
            case waitForWebsocket = "wait-for-websocket"
            case recordOutput = "record-output"
            case userName = "user_name"
        }

        public init() {}
    }

    /// `POST /1.0/instances/{name}/attach` (Isle's): streams of the first process. The answer is that of exec.
    public struct InstanceAttachPost: Codable, Sendable, Hashable {
        /// Whether standard input is wanted too.
        @Zero public var input = false
        @Zero public var width = 0
        @Zero public var height = 0
        public init() {}
    }

    /// `POST /1.0/instances/{name}/console`.
    public struct InstanceConsolePost: Codable, Sendable, Hashable {
        @Zero public var width = 0
        @Zero public var height = 0
        /// `console`; `vga` for the screen of a machine.
        @Zero public var type = "console"
        public init() {}
    }

    /// Metadata of the operation of exec, attach and console.
    ///
    /// `fds` names the secret of each stream, used once at `/1.0/operations/{id}/websocket?secret=…`: `0`, `1`, `2`
    /// and `control`, or `0` and `control` with a terminal. `exitCode` (`return`) is there when the process ended.
    public struct SessionMetadata: Codable, Sendable, Hashable {
        public var fds: [String: String]?
        public var command: [String]?
        public var environment: [String: String]?
        public var interactive: Bool?
        public var exitCode: Int32?
        /// Without websockets and with `record-output`: paths of the recorded streams by descriptor.
        public var output: [String: String]?

        enum CodingKeys: String, CodingKey {
            case fds, command, environment, interactive, output
            case exitCode = "return"
        }

        public init() {}
    }

    /// A message on the `control` websocket of a session, as JSON text.
    public struct SessionControl: Codable, Sendable, Hashable {
        /// `window-resize` or `signal`.
        @Zero public var command = ""
        /// `width` and `height` as decimal text.
        @Zero public var args: [String: String] = [:]
        @Zero public var signal: Int32 = 0

        public init() {}

        public init(columns: UInt16, rows: UInt16) {
            command = "window-resize"
            args = ["width": String(columns), "height": String(rows)]
        }

        public init(signal: Int32) {
            command = "signal"
            self.signal = signal
        }
    }

    /// `GET /1.0/instances/{name}/wait` (Isle's): how the instance ended.
    public typealias InstanceWait = InstanceExit
}

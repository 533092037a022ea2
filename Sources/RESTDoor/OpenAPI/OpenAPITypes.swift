import WireTypes

/// The bodies of requests and answers by route, and their schemas as the types encode themselves.
struct OpenAPITypes {
    struct Body {
        /// Names of schemas; nil: no JSON body, or one that is not described closer.
        var request: String?
        var response: String?
        /// The answer is a list: of paths, or with recursion of `response`.
        var isList = false
        /// The answer is not in the envelope: a file, text or a websocket.
        var isOpaque = false
    }

    private(set) var schemas: [String: JSONValue] = [:]

    init() throws {
        try add("Server", API.Server())
        try add("ServerPut", API.ServerPut())
        try add("Certificate", API.Certificate())
        try add("CertificatesPost", API.CertificatesPost())
        try add("CertificatePut", API.Certificate().changeable)
        try add("Project", API.Project())
        try add("ProjectsPost", API.ProjectsPost())
        try add("ProjectPut", API.Project().changeable)
        try add("ProjectState", API.ProjectState())
        try add("Profile", API.Profile())
        try add("ProfilesPost", API.ProfilesPost())
        try add("ProfilePut", API.Profile().changeable)
        try add("Network", API.Network())
        try add("NetworksPost", API.NetworksPost())
        try add("NetworkPut", API.Network().changeable)
        try add("NetworkState", API.NetworkState())
        try add("NetworkLease", API.NetworkLease())
        try add("NetworkForward", API.NetworkForward())
        try add("NetworkForwardPut", API.NetworkForward().changeable)
        try add("NetworkACL", API.NetworkACL())
        try add("NetworkACLPut", API.NetworkACL().changeable)
        try add("Warning", API.Warning())
        try add("WarningPut", API.WarningPut())
        try add("Operation", API.Operation())
        try add("Resources", API.Resources())
        try add("Rename", API.RenamePost())
        try add("Instance", API.Instance())
        try add("InstancesPost", API.InstancesPost())
        try add("InstanceState", API.InstanceState())
        try add("DoctorReport", API.DoctorReport())
    }

    /// What is said of the bodies of a route.
    func body(_ method: String, _ path: String) -> Body {
        Self.table["\(method) \(path)"] ?? Body(isOpaque: Self.isOpaque(path))
    }

    private static let table: [String: Body] = [
        "GET /1.0": Body(response: "Server"), "PUT /1.0": Body(request: "ServerPut"),
        "PATCH /1.0": Body(request: "ServerPut"),
        "GET /1.0/certificates": Body(response: "Certificate", isList: true),
        "POST /1.0/certificates": Body(request: "CertificatesPost"),
        "GET /1.0/certificates/:fingerprint": Body(response: "Certificate"),
        "PUT /1.0/certificates/:fingerprint": Body(request: "CertificatePut"),
        "PATCH /1.0/certificates/:fingerprint": Body(request: "CertificatePut"),
        "GET /1.0/projects": Body(response: "Project", isList: true),
        "POST /1.0/projects": Body(request: "ProjectsPost"),
        "GET /1.0/projects/:name": Body(response: "Project"),
        "PUT /1.0/projects/:name": Body(request: "ProjectPut"),
        "PATCH /1.0/projects/:name": Body(request: "ProjectPut"),
        "POST /1.0/projects/:name": Body(request: "Rename"),
        "GET /1.0/projects/:name/state": Body(response: "ProjectState"),
        "GET /1.0/profiles": Body(response: "Profile", isList: true),
        "POST /1.0/profiles": Body(request: "ProfilesPost"),
        "GET /1.0/profiles/:name": Body(response: "Profile"),
        "PUT /1.0/profiles/:name": Body(request: "ProfilePut"),
        "PATCH /1.0/profiles/:name": Body(request: "ProfilePut"),
        "POST /1.0/profiles/:name": Body(request: "Rename"),
        "GET /1.0/networks": Body(response: "Network", isList: true),
        "POST /1.0/networks": Body(request: "NetworksPost"),
        "GET /1.0/networks/:name": Body(response: "Network"),
        "PUT /1.0/networks/:name": Body(request: "NetworkPut"),
        "PATCH /1.0/networks/:name": Body(request: "NetworkPut"),
        "POST /1.0/networks/:name": Body(request: "Rename"),
        "GET /1.0/networks/:name/state": Body(response: "NetworkState"),
        "GET /1.0/networks/:name/leases": Body(response: "NetworkLease", isList: true),
        "GET /1.0/networks/:name/forwards": Body(response: "NetworkForward", isList: true),
        "POST /1.0/networks/:name/forwards": Body(request: "NetworkForward"),
        "GET /1.0/networks/:name/forwards/:address": Body(response: "NetworkForward"),
        "PUT /1.0/networks/:name/forwards/:address": Body(request: "NetworkForwardPut"),
        "PATCH /1.0/networks/:name/forwards/:address": Body(request: "NetworkForwardPut"),
        "GET /1.0/network-acls": Body(response: "NetworkACL", isList: true),
        "POST /1.0/network-acls": Body(request: "NetworkACL"),
        "GET /1.0/network-acls/:name": Body(response: "NetworkACL"),
        "PUT /1.0/network-acls/:name": Body(request: "NetworkACLPut"),
        "PATCH /1.0/network-acls/:name": Body(request: "NetworkACLPut"),
        "POST /1.0/network-acls/:name": Body(request: "Rename"),
        "GET /1.0/warnings": Body(response: "Warning", isList: true),
        "GET /1.0/warnings/:uuid": Body(response: "Warning"),
        "PUT /1.0/warnings/:uuid": Body(request: "WarningPut"),
        "PATCH /1.0/warnings/:uuid": Body(request: "WarningPut"),
        "GET /1.0/operations/:id": Body(response: "Operation"),
        "GET /1.0/operations/:id/wait": Body(response: "Operation"),
        "GET /1.0/resources": Body(response: "Resources"),
        "GET /1.0/doctor": Body(response: "DoctorReport"),
        "GET /1.0/instances": Body(response: "Instance", isList: true),
        "POST /1.0/instances": Body(request: "InstancesPost"),
        "GET /1.0/instances/:name": Body(response: "Instance"),
        "GET /1.0/instances/:name/state": Body(response: "InstanceState"),
    ]

    /// Files, text and websockets.
    private static func isOpaque(_ path: String) -> Bool {
        let words = ["files", "sftp", "logs", "export", "websocket", "events", "metrics", "console", "openapi.json"]
        return path.split(separator: "/").contains { words.contains(String($0)) }
    }

    private mutating func add(_ name: String, _ value: some Encodable) throws {
        schemas[name] = Self.schema(of: try JSONValue(encoding: value))
    }

    /// The shape of a value. An empty list or map says nothing about what is in it.
    private static func schema(of value: JSONValue) -> JSONValue {
        switch value {
        case .null: .object([:])
        case .bool: ["type": "boolean"]
        case .int: ["type": "integer"]
        case .double: ["type": "number"]
        case .string: ["type": "string"]
        case .array: ["type": "array"]
        case .object(let members):
            ["type": "object", "properties": .object(members.mapValues { schema(of: $0) })]
        }
    }
}

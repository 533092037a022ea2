import Model
import WireTypes

extension API.Certificate {
    init(_ record: CertificateRecord) {
        self.init()
        name = record.name
        type = record.purpose.rawValue
        restricted = record.restricted
        projects = record.projects
        certificate = record.certificate
        fingerprint = record.fingerprint
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.CertificatePut {
        var put = API.CertificatePut()
        (put.name, put.type, put.restricted) = (name, type, restricted)
        (put.projects, put.certificate) = (projects, certificate)
        return put
    }
}

extension CertificateRecord.Purpose {
    /// - Throws: `invalidArgument` for a type that is not offered.
    init(type: String) throws {
        guard let purpose = Self(rawValue: type.isEmpty ? "client" : type) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(type)) is not a type of certificate", hint: "client or metrics")
        }
        self = purpose
    }
}

extension API.Project {
    init(_ record: ProjectRecord, usedBy: [String]) {
        self.init()
        name = record.name
        description = record.description
        config = record.config
        self.usedBy = usedBy
    }

    var changeable: API.ProjectPut {
        var put = API.ProjectPut()
        (put.description, put.config) = (description, config)
        return put
    }
}

extension API.Warning {
    init(_ record: WarningRecord) {
        self.init()
        uuid = record.id
        project = record.project
        type = record.kind
        count = record.count
        firstSeenAt = Timestamp.string(record.firstSeenAt)
        lastSeenAt = Timestamp.string(record.lastSeenAt)
        lastMessage = record.message
        severity = record.severity.rawValue
        status = record.status.rawValue
        entityURL = record.entity
    }
}

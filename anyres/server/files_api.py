"""`/v1/files`: pictures, clips and documents sent ahead, by random ids that belong to one key."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, UploadFile
from pydantic import BaseModel

from anyres.server.chat_api import REFUSALS
from anyres.server.errors import ApiError
from anyres.server.service import Service
from anyres.server.uploads import StoredFile, UnknownFileError, UploadError, Uploads

__all__ = ["files_routes"]

Purpose = Literal["vision", "user_data", "assistants", "batch", "evals", "fine-tune"]


class FileReply(BaseModel):
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str = "vision"
    status: Literal["processed"] = "processed"


class FileList(BaseModel):
    object: Literal["list"] = "list"
    data: list[FileReply]
    has_more: bool = False


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


def files_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1/files", responses=REFUSALS, tags=["files"])

    @router.post("", response_model=FileReply)
    async def upload(request: Request, file: UploadFile, purpose: Annotated[Purpose, Form()] = "vision") -> FileReply:
        """Keeps a file; its id goes where a `file_id` or a picture's URL goes."""
        uploads, owner = _uploads(service), request.state.owner
        data = await file.read()
        try:
            file_id = await asyncio.to_thread(uploads.put, owner, file.filename or "file", data)
        except UploadError as error:
            raise ApiError(400, str(error), code="invalid_value", param="file") from None
        return _reply(uploads.describe(owner, file_id), purpose)

    @router.get("", response_model=FileList)
    async def files(request: Request) -> FileList:
        """The files of this key."""
        found = await asyncio.to_thread(_uploads(service).files, request.state.owner)
        return FileList(data=[_reply(one) for one in found])

    @router.get("/{file_id}", response_model=FileReply)
    async def file(file_id: str, request: Request) -> FileReply:
        try:
            return _reply(_uploads(service).describe(request.state.owner, file_id))
        except UnknownFileError as error:
            raise _unknown(error) from None

    @router.delete("/{file_id}", response_model=FileDeleted)
    async def delete(file_id: str, request: Request) -> FileDeleted:
        try:
            await asyncio.to_thread(_uploads(service).delete, request.state.owner, file_id)
        except UnknownFileError as error:
            raise _unknown(error) from None
        return FileDeleted(id=file_id)

    return router


def _uploads(service: Service) -> Uploads:
    service.require_model()
    uploads = service.uploads
    if uploads is None:
        raise ApiError(404, "files: not kept by this server; allowed: data: URLs", code=None)
    return uploads


def _reply(stored: StoredFile, purpose: str = "vision") -> FileReply:
    return FileReply(id=stored.id, bytes=stored.size, created_at=stored.created, filename=stored.name, purpose=purpose)


def _unknown(error: UnknownFileError) -> ApiError:
    return ApiError(404, str(error), code="file_not_found", param="file_id")

{ A small register: pays with the code that the customer's phone shows, and gives the money back.

    pay CONF.json CODE FEN [refund]

  Exit codes: 0 paid (with refund: and given back), 1 not paid, 2 nothing was done, 3 not known.

    Delphi       dcc32 -U.. pay.dpr
    Free Pascal  fpc -Fu.. pay.dpr (on Linux with -FlFOLDER, where libcloudpay.so is) }
program pay;

{$IFDEF FPC}{$MODE DELPHI}{$ENDIF}
{$APPTYPE CONSOLE}

uses
  {$IFDEF UNIX}cthreads, cwstring,{$ENDIF}
  SysUtils, Classes, CloudPay;

const
  Done = 0;
  NotPaid = 1;
  NothingDone = 2;
  NotKnown = 3;

function ReadText(const name: string): UTF8String;
var
  stream: TFileStream;
begin
  stream := TFileStream.Create(name, fmOpenRead or fmShareDenyWrite);
  try
    SetLength(Result, stream.Size);
    if Result <> '' then
      stream.ReadBuffer(Result[1], Length(Result));
  finally
    stream.Free;
  end;
end;

{ What is pasted into a JSON text has to be digits; returns whether it is. }
function IsDigits(const text: string; least, most: Integer): Boolean;
var
  i: Integer;
begin
  Result := (Length(text) >= least) and (Length(text) <= most);
  for i := 1 to Length(text) do
    Result := Result and (text[i] >= '0') and (text[i] <= '9');
end;

procedure Say(const what: string; code: Integer);
begin
  WriteLn(what, ' (', code, ') ', string(CloudPayMessage));
end;

{ Gives back the whole amount, and waits until the gateway has done it. }
function Refund(const number: UTF8String; fen: Integer): Integer;
var
  answer: UTF8String;
  code, look: Integer;
begin
  Result := NotKnown;
  code := cloud_pay_refund(PAnsiChar(UTF8String(
    Format('{"out_trade_no":"%s","total_fee":%d,"refund_fee":%d}', [number, fen, fen]))));
  if code <> CLOUDPAY_OK then
  begin
    { -2: the same call again is safe, and can't give the money back twice. }
    Say('THE REFUND WAS NOT ACCEPTED', code);
    Exit;
  end;
  for look := 1 to 30 do
  begin
    code := CloudPayAsk(cloud_pay_query_refund, UTF8String(Format('{"out_refund_no":"%s"}', [number])), answer);
    if (code = CLOUDPAY_OK) and (Pos('"state":"success"', string(answer)) > 0) then
    begin
      WriteLn('REFUNDED ', fen, ' fen');
      Result := Done;
      Exit;
    end;
    Sleep(1000);
  end;
  Say('THE REFUND IS NOT THROUGH: ask again later', code);
end;

{ Pays, waits for the result, and says what to do. }
function Pay(const paymentCode: string; fen: Integer; giveBack: Boolean): Integer;
var
  number, order: UTF8String;
  code: Integer;
begin
  Result := NothingDone;
  number := CloudPayNextTradeNo;
  if number = '' then
  begin
    WriteLn('NO ORDER NUMBER ', string(CloudPayMessage));
    Exit;
  end;
  { Returns at once; 0: the order is on disk. }
  code := cloud_pay_micro_pay(PAnsiChar(UTF8String(
    Format('{"out_trade_no":"%s","author_code":"%s","total_fee":%d}', [number, paymentCode, fen]))), nil, 0);
  if code <> CLOUDPAY_OK then
  begin
    Say('NOT ACCEPTED, nothing was sent', code);
    Exit;
  end;
  WriteLn('Order ', string(number));
  code := CloudPayWait(UTF8String(Format('{"out_trade_no":"%s"}', [number])), 60000, order);
  case code of
    CLOUDPAY_OK:
      begin
        WriteLn('PAID ', fen, ' fen: hand over the goods');
        Result := Done;
        if giveBack then
          Result := Refund(number, fen);
      end;
    CLOUDPAY_FAILED, CLOUDPAY_TAKEN_BACK:
      begin
        Say('NOT PAID: another means of payment, or a new code with a new number', code);
        Result := NotPaid;
      end;
  else
    begin
      Say('NOT KNOWN: no goods and no second payment; query the order', code);
      Result := NotKnown;
    end;
  end;
end;

begin
  ExitCode := NothingDone;
  if (ParamCount < 3) or not IsDigits(ParamStr(2), 16, 24) or not IsDigits(ParamStr(3), 1, 9) then
    WriteLn('pay CONF.json CODE FEN [refund]')
  else if cloud_pay_init(PAnsiChar(ReadText(ParamStr(1)))) <> CLOUDPAY_OK then
    Say('THE LIBRARY DID NOT START', CLOUDPAY_FAILED)
  else
  begin
    ExitCode := Pay(ParamStr(2), StrToInt(ParamStr(3)), ParamStr(4) = 'refund');
    cloud_pay_fini;
  end;
end.

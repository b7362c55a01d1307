package bucket
import ("testing";"fmt";"strings")
func TestProbe(t *testing.T){
 for _,s:=range []string{
 "", "  ", "100", "100/", "100/10", "100 per s", "100/x", "100/sec", "100/month", "100/3 years","100/w","100/s brust 200","100/s burst","100/s burst 0","100/s burst 1000000001","100/s burst 5 burst 6","100/s queue 1 QUEUE 2","100/s queue 1000000001","100/s burst -5","-5/s","+5/s","1.5/s","100/1.5s","100/s burst 1.5","1,000/s","1_000/s","1e6/s","10k/s","0/s","100/0s","100/1m30s","100/m5","100/s 5","100/s foo","100/s per 5","100/s in Europe/Berlin","100/s,burst 5","99999999999999999999/s","5000000000/10s","2000000000/s","1/300000d","7/3600000000001ns burst 1000000000","1/36500d burst 1000000000", "999999999999999989/1000000000000000003us burst 1","quota","qouta 100","quota 0","quota -1","quota 2000000000","quota 100 burst 5","quota 100 queue 5","quota 100 in UTC","quota 100 per","quota 100 per 30d","quota 100 per m","quota 100 per mnth","quota 100 per minute","quota 100 per daily","quota 100 per day on UTC","quota 100 per day in","quota 100 per day in Europe/Berln","quota 100 per day in Local","quota 100 per day in local","quota 100 per day in ../../etc/passwd","quota 100 per day in posix/Europe/Berlin","quota 100 per day in localtime","quota 100 per day in UTC now","quota 100 per day burst 5","window","window 100","window 100 per","window 100 per month","window 100 pro 1m","window 0 per 1m","window 100 per 1m queue 5","window 100 per 1m in UTC","windw 100 per 1m","hundred/s","100\xff/s","100/s burst ٣","\x00","100/µs", "100/s burst 200 trailing words", "1/s "+strings.Repeat("x",190), strings.Repeat("9",199), strings.Repeat("1",201), "quota 1 per day in "+strings.Repeat("A",150),"100//s","/s","burst 5","1/10","100/s burst 5 queue 1.5", "100 /s bursts 5", "100/-5s", "window 5 per -1s", "1/s burst200queue5","unlimited","none","10/s/s", "100/s burst 2oo",
 "9223372036854775807/9223372036854775807ns","2305843009213693953/9223372036854775807ns burst 1",
 }{
  l,err:=ParseLimit(s)
  if err!=nil {fmt.Println(err)} else {fmt.Printf("OK %q -> %v %+v\n",s,l,l)}
 }
}
